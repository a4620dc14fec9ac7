//! What `#[unstuck::job]` accepts.

use std::collections::BTreeMap;

use crate::support::pool;

#[unstuck::job]
fn nothing() {}

/// A doc comment, a mutable argument, a pattern and a trailing comma.
#[unstuck::job]
#[must_use]
fn shapes(mut n: u32, (a, b): (u32, u32), [c, ..]: [u32; 3]) -> u32 {
    n += a + b;
    n + c
}

#[unstuck::job]
fn generic_types(map: BTreeMap<String, Vec<Option<u32>>>, f: fn_types::Pair<u8, i64>) -> Result<u32, String> {
    let sum: u32 = map.values().flatten().flatten().sum();
    sum.checked_sub(u32::from(f.0)).ok_or_else(|| format!("{sum} < {}", f.0))
}

mod fn_types {
    pub(super) type Pair<A, B> = (A, B);

    #[unstuck::job]
    pub(super) const fn inside(n: u8) -> u8 {
        n.wrapping_add(1)
    }
}

#[unstuck::job]
fn r#type(r#fn: i8) -> i8 {
    -r#fn
}

#[unstuck::job]
#[rustfmt::skip]
#[expect(clippy::too_many_arguments, reason = "the most that a job takes")]
fn sixteen(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8, k: u8, l: u8, m: u8, n: u8, o: u8, p: u8) -> u8 {
    a + b + c + d + e + f + g + h + i + j + k + l + m + n + o + p
}

#[unstuck::job]
fn bytes_everywhere(
    first: Vec<u8>,
    second: unstuck::process::ByteBuf,
    n: std::vec::Vec<u8>,
) -> Option<Vec<u8>> {
    first.first().map(|byte| vec![*byte, second[0], n[0]])
}

#[unstuck::test]
async fn jobs_of_all_shapes_give_what_their_functions_give() {
    let pool = pool(1);
    pool.spawn(nothing::job()).await.unwrap();
    assert_eq!(pool.spawn(shapes::job(1, (2, 3), [4, 5, 6])).await.unwrap(), shapes(1, (2, 3), [4, 5, 6]));
    let map = BTreeMap::from([("a".to_owned(), vec![Some(1), None, Some(2)])]);
    assert_eq!(pool.spawn(generic_types::job(map.clone(), (1, -1))).await.unwrap(), Ok(2));
    assert_eq!(pool.spawn(generic_types::job(map, (9, -1))).await.unwrap(), Err("3 < 9".to_owned()));
    assert_eq!(pool.spawn(fn_types::inside::job(255)).await.unwrap(), 0);
    assert_eq!(pool.spawn(r#type::job(5)).await.unwrap(), -5);
    let sixteen = sixteen::job(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1);
    assert_eq!(pool.spawn(sixteen).await.unwrap(), 16);
    let bytes = bytes_everywhere::job(vec![1], vec![2].into(), vec![3]);
    assert_eq!(pool.spawn(bytes).await.unwrap(), Some(vec![1, 2, 3]));
}

#[unstuck::test]
async fn jobs_may_be_declared_inside_of_a_function() {
    #[unstuck::job]
    fn local(n: u32) -> u32 {
        n + 1
    }
    assert_eq!(pool(1).spawn(local::job(1)).await.unwrap(), 2);
}

#[unstuck::test]
async fn a_job_that_was_never_registered_is_an_error_that_says_so() {
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Forgotten;

    impl unstuck::offload::Job for Forgotten {
        type Output = ();
        fn run(self) {}
    }

    impl unstuck::process::PortableJob for Forgotten {
        const NAME: &'static str = "forgotten";
    }

    let error = pool(1).spawn(Forgotten).await.unwrap_err();
    assert!(
        error.is_transport() && error.to_string().contains("no job is registered there as 'forgotten'"),
        "{error}"
    );
}

#[unstuck::test]
async fn what_cannot_be_written_down_or_read_is_an_error_that_says_so() {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Cannot be written, or cannot be read.
    #[derive(Clone, Copy)]
    struct Awkward {
        written: bool,
    }

    impl Serialize for Awkward {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if self.written { serializer.serialize_unit() } else { Err(serde::ser::Error::custom("no")) }
        }
    }

    impl<'de> Deserialize<'de> for Awkward {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Err(serde::de::Error::custom("no"))
        }
    }

    #[unstuck::job]
    fn takes(awkward: Awkward) {
        let _ = awkward;
    }

    #[unstuck::job]
    fn gives(written: bool) -> Awkward {
        Awkward { written }
    }

    let pool = pool(1);
    let cases = [
        (
            pool.spawn(takes::job(Awkward { written: false })).await.unwrap_err(),
            "its arguments cannot be written down",
        ),
        (
            pool.spawn(takes::job(Awkward { written: true })).await.unwrap_err(),
            "its arguments cannot be read",
        ),
        (pool.spawn(gives::job(false)).await.map(|_| ()).unwrap_err(), "its result cannot be written down"),
        (pool.spawn(gives::job(true)).await.map(|_| ()).unwrap_err(), "its result cannot be read"),
    ];
    for (error, text) in cases {
        assert!(error.is_codec() && error.to_string().contains(text), "{error}");
    }
    assert_eq!(pool.statistics().started, 1, "none of that hurts the child");
}
