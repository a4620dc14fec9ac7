//! Several awaitables at once: asyncio's `gather`.
//!
//! [`gather`] takes any number of one kind, [`gather!`](macro@crate::gather) a few of different kinds. Both run what
//! they are given side by side *in the task that awaits them*; to use several threads, spawn tasks and gather those.
//! The `try_` forms end at the first error. Futures are dropped then; tasks go on, because a dropped handle detaches.
//!
//! The waiting itself is `futures-util`'s, which polls only what was woken once there are many.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::task::Poll;

use futures_util::future::{join_all, maybe_done, try_join_all};

/// Awaits all of them at once, and gives the results in their order: asyncio's `gather(*aws)`.
///
/// ```
/// # unstuck::run(async {
/// let tasks = (1..=3).map(|n| unstuck::spawn(async move { n * n }));
/// let squares: Vec<_> = unstuck::gather(tasks).await.into_iter().map(Result::unwrap).collect();
/// assert_eq!(squares, [1, 4, 9]);
/// # });
/// ```
///
/// Results that are errors stand at their places, like asyncio's `return_exceptions=True`; [`try_gather`] ends at the
/// first error.
///
/// # Cancellation
/// Dropping it drops the futures that are not ready; tasks among them are detached and go on.
pub fn gather<I>(awaitables: I) -> impl Future<Output = Vec<<I::Item as IntoFuture>::Output>>
where
    I: IntoIterator,
    I::Item: IntoFuture,
{
    join_all(awaitables.into_iter().map(IntoFuture::into_future))
}

/// Awaits all of them at once, and gives the values in their order, or the first error as soon as it comes: asyncio's
/// `gather` without `return_exceptions`.
///
/// ```
/// # unstuck::run(async {
/// let parsed = unstuck::try_gather(["1", "2", "x"].map(|s| async move { s.parse::<u32>() })).await;
/// assert!(parsed.is_err());
/// # });
/// ```
///
/// # Cancellation
/// Dropping it, and the first error, drop the futures that are not ready; tasks among them are detached and go on.
///
/// # Errors
/// The first error that one of them gives.
pub fn try_gather<I, T, E>(awaitables: I) -> impl Future<Output = Result<Vec<T>, E>>
where
    I: IntoIterator,
    I::Item: IntoFuture<Output = Result<T, E>>,
{
    try_join_all(awaitables.into_iter().map(IntoFuture::into_future))
}

/// Awaits a few different things at once, and gives a tuple of their results: asyncio's `gather(a, b, c)`.
///
/// ```
/// use std::time::Duration;
/// use unstuck::{gather, sleep, to_thread};
///
/// # unstuck::run(async {
/// // Takes as long as the longest, not as long as all together.
/// let (file, ()) = gather!(
///     to_thread(|| std::fs::read_to_string("Cargo.toml")),
///     sleep(Duration::from_millis(10)),
/// ).await;
/// assert!(file.unwrap().is_ok());
/// # });
/// ```
///
/// Two to twelve awaitables. They take turns in the task that awaits them: one that computes keeps its siblings
/// waiting. Spawn it as a task of its own, or use [`cpu`](crate::cpu()).
#[macro_export]
macro_rules! gather {
    ($($awaitable:expr),+ $(,)?) => {
        $crate::__private::Several::all(($($awaitable,)+))
    };
}

/// Awaits a few different things at once, and gives a tuple of their values, or the first error as soon as it comes.
///
/// ```
/// # unstuck::run(async {
/// let both = unstuck::try_gather!(async { "1".parse::<u32>() }, async { "x".parse::<u32>() }).await;
/// assert!(both.is_err());
/// # });
/// ```
///
/// The errors must be of one type. See [`gather!`](macro@crate::gather).
#[macro_export]
macro_rules! try_gather {
    ($($awaitable:expr),+ $(,)?) => {
        $crate::__private::SeveralFallible::try_all(($($awaitable,)+))
    };
}

/// A tuple of awaitables.
pub trait Several {
    /// A tuple of what they give.
    type Output;

    /// Awaits all.
    fn all(self) -> impl Future<Output = Self::Output>;
}

/// A tuple of awaitables that give results with one type of error.
pub trait SeveralFallible<E> {
    /// A tuple of the values.
    type Output;

    /// Awaits all, or gives the first error.
    fn try_all(self) -> impl Future<Output = Result<Self::Output, E>>;
}

macro_rules! several {
    ($($name:ident $value:ident),+) => {
        impl<$($name: IntoFuture),+> Several for ($($name,)+) {
            type Output = ($($name::Output,)+);

            async fn all(self) -> Self::Output {
                let ($($value,)+) = self;
                $(let mut $value = pin!(maybe_done($value.into_future()));)+
                poll_fn(|cx| {
                    let mut ready = true;
                    $(ready &= $value.as_mut().poll(cx).is_ready();)+
                    if ready { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                ($($value.as_mut().take_output().unwrap_or_else(|| unreachable!("all are ready")),)+)
            }
        }

        impl<Error, $($name, $value,)+> SeveralFallible<Error> for ($($name,)+)
        where
            $($name: IntoFuture<Output = Result<$value, Error>>,)+
        {
            type Output = ($($value,)+);

            async fn try_all(self) -> Result<Self::Output, Error> {
                let ($($value,)+) = self;
                $(let mut $value = pin!(maybe_done($value.into_future()));)+
                poll_fn(|cx| {
                    let mut ready = true;
                    $(
                        ready &= $value.as_mut().poll(cx).is_ready();
                        // An error ends the wait for the others; it is taken out below.
                        if matches!($value.as_mut().output_mut(), Some(Err(_))) {
                            return Poll::Ready(());
                        }
                    )+
                    if ready { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                $(
                    if matches!($value.as_mut().output_mut(), Some(Err(_))) {
                        if let Some(Err(error)) = $value.as_mut().take_output() {
                            return Err(error);
                        }
                    }
                )+
                Ok(($(match $value.as_mut().take_output() {
                    Some(Ok(value)) => value,
                    _ => unreachable!("all are ready, and none is an error"),
                },)+))
            }
        }
    };
}

#[rustfmt::skip]
mod arities {
    #![allow(non_camel_case_types)] // one name serves as the value's variable and as the type of its success
    use super::*;

    several!(A a, B b);
    several!(A a, B b, C c);
    several!(A a, B b, C c, D d);
    several!(A a, B b, C c, D d, E e);
    several!(A a, B b, C c, D d, E e, F f);
    several!(A a, B b, C c, D d, E e, F f, G g);
    several!(A a, B b, C c, D d, E e, F f, G g, H h);
    several!(A a, B b, C c, D d, E e, F f, G g, H h, I i);
    several!(A a, B b, C c, D d, E e, F f, G g, H h, I i, J j);
    several!(A a, B b, C c, D d, E e, F f, G g, H h, I i, J j, K k);
    several!(A a, B b, C c, D d, E e, F f, G g, H h, I i, J j, K k, L l);
}
