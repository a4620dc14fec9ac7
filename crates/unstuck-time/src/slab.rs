//! Where timers are kept: a table that hands out small numbers and gives its memory back.
//!
//! One growing `Vec` would do, but it keeps the memory of its biggest day for as long as a single timer lives, and a
//! server always has one. So the table is cut into chunks of 256 entries. A chunk that empties is freed (one spare is
//! kept, so that arming and cancelling at a chunk's edge does not allocate each time), and a long-lived timer holds
//! back 12 KiB, not 48 MiB; what stays of a freed chunk is an empty pointer.
//!
//! Entries are found by number: the upper bits name the chunk, the lower eight the place in it. Vacant places of a
//! chunk form a list through the places themselves.

/// Entries a chunk.
const CHUNK: usize = 256;
const PLACE_BITS: u32 = CHUNK.trailing_zeros();
/// "No entry", here and in lists built on top.
pub(crate) const NIL: u32 = u32::MAX;

/// A table of `T` whose numbers stay valid until removed.
pub(crate) struct Slab<T> {
    /// A pointer each: that is what a chunk costs that was freed while a single entry stays.
    chunks: Vec<Option<Box<Chunk<T>>>>,
    /// Chunks with memory and (probably) a vacant place; the last one is used next. May name chunks that were freed
    /// since: they are sorted out when met.
    roomy: Vec<u32>,
    /// Chunks without memory, except for those that `roomy` still names.
    freed: Vec<u32>,
    len: usize,
    /// Chunks that have memory but no entry.
    spare: usize,
}

struct Chunk<T> {
    entries: [Entry<T>; CHUNK],
    /// First vacant place among `entries`, or `NIL`.
    vacant: u32,
    live: u32,
    /// Whether `roomy` names this chunk.
    listed: bool,
}

enum Entry<T> {
    Taken(T),
    Vacant { next: u32 },
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { chunks: Vec::new(), roomy: Vec::new(), freed: Vec::new(), len: 0, spare: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Entries there is memory for.
    pub(crate) fn capacity(&self) -> usize {
        self.chunks.iter().flatten().count() * CHUNK
    }

    /// Keeps `value` and returns its number.
    #[inline]
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let number = self.chunk_with_room();
        let Some(chunk) = &mut self.chunks[number as usize] else {
            unreachable!("a chunk with room has memory")
        };
        if chunk.live == 0 {
            self.spare -= 1;
        }
        let place = chunk.insert(value);
        if chunk.is_full() {
            chunk.listed = false;
            self.roomy.pop();
        }
        self.len += 1;
        number << PLACE_BITS | place
    }

    /// Takes the entry out. The number must be one that `insert` gave and nobody removed since.
    #[inline]
    pub(crate) fn remove(&mut self, index: u32) -> T {
        let number = index >> PLACE_BITS;
        let Some(chunk) = &mut self.chunks[number as usize] else { unreachable!("removed an entry twice") };
        let value = chunk.remove(index);
        self.len -= 1;
        if !chunk.listed {
            chunk.listed = true;
            self.roomy.push(number);
        }
        if chunk.live == 0 {
            self.emptied(number);
        }
        value
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        match &self.chunks.get((index >> PLACE_BITS) as usize)?.as_ref()?.entries[index as usize % CHUNK] {
            Entry::Taken(value) => Some(value),
            Entry::Vacant { .. } => None,
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        match &mut self.chunks.get_mut((index >> PLACE_BITS) as usize)?.as_mut()?.entries
            [index as usize % CHUNK]
        {
            Entry::Taken(value) => Some(value),
            Entry::Vacant { .. } => None,
        }
    }

    /// The number of a chunk that is last in `roomy` and has a vacant place.
    #[inline]
    fn chunk_with_room(&mut self) -> u32 {
        match self.roomy.last() {
            Some(&number) if self.chunks[number as usize].is_some() => number,
            _ => self.make_room(),
        }
    }

    #[cold]
    fn make_room(&mut self) -> u32 {
        while let Some(&number) = self.roomy.last() {
            if self.chunks[number as usize].is_some() {
                return number;
            }
            self.roomy.pop();
            self.freed.push(number);
        }
        let number = self.freed.pop().unwrap_or_else(|| {
            let number = self.chunks.len() as u32;
            assert!(number < NIL >> PLACE_BITS, "more than four billion timers are armed at once");
            self.chunks.push(None);
            number
        });
        self.chunks[number as usize] = Some(Chunk::new());
        self.spare += 1;
        self.roomy.push(number);
        number
    }

    /// A chunk has lost its last entry.
    #[inline]
    fn emptied(&mut self, number: u32) {
        if self.spare == 0 {
            self.spare = 1;
        } else {
            self.chunks[number as usize] = None;
        }
        if self.len == 0 && self.chunks.len() > 1 {
            self.forget_tables();
        }
    }

    /// The table is empty: keep its spare chunk, give back the lists of all the others.
    #[cold]
    fn forget_tables(&mut self) {
        let spare = self.chunks.drain(..).flatten().next();
        *self = Self::new();
        if let Some(chunk) = spare {
            self.spare = 1;
            self.roomy.push(0);
            self.chunks.push(Some(chunk));
        }
    }
}

impl<T> Chunk<T> {
    /// An empty one, which `roomy` is about to name.
    fn new() -> Box<Self> {
        let next = |place: usize| if place + 1 < CHUNK { place as u32 + 1 } else { NIL };
        let entries = std::array::from_fn(|place| Entry::Vacant { next: next(place) });
        Box::new(Self { entries, vacant: 0, live: 0, listed: true })
    }

    fn is_full(&self) -> bool {
        self.live as usize == CHUNK
    }

    /// Takes a vacant place; the chunk must have room.
    #[inline]
    fn insert(&mut self, value: T) -> u32 {
        let place = self.vacant;
        let entry = &mut self.entries[place as usize % CHUNK];
        let Entry::Vacant { next } = entry else {
            unreachable!("the list of vacant places names a taken one")
        };
        self.vacant = *next;
        *entry = Entry::Taken(value);
        self.live += 1;
        place
    }

    #[inline]
    fn remove(&mut self, index: u32) -> T {
        let place = index % CHUNK as u32;
        let vacant = Entry::Vacant { next: self.vacant };
        match std::mem::replace(&mut self.entries[place as usize], vacant) {
            Entry::Taken(value) => {
                self.vacant = place;
                self.live -= 1;
                value
            }
            Entry::Vacant { .. } => unreachable!("removed an entry twice"),
        }
    }
}

#[cfg(test)]
#[cfg(not(unstuck_loom))]
mod tests {
    use super::*;

    #[test]
    fn a_number_finds_its_entry_until_it_is_removed() {
        let mut slab = Slab::new();
        let numbers: Vec<u32> = (0..1000).map(|i| slab.insert(i)).collect();
        for (i, &number) in numbers.iter().enumerate() {
            assert_eq!(slab.get(number), Some(&i));
        }
        assert_eq!(slab.remove(numbers[500]), 500);
        assert_eq!(slab.get(numbers[500]), None);
        assert_eq!(slab.len(), 999);
    }

    #[test]
    fn memory_is_given_back_even_while_one_entry_stays() {
        let mut slab = Slab::new();
        let numbers: Vec<u32> = (0..100_000).map(|i| slab.insert(i)).collect();
        assert!(slab.capacity() >= 100_000);
        for &number in &numbers[1..] {
            slab.remove(number);
        }
        assert!(slab.capacity() <= 2 * CHUNK, "{} entries kept for one", slab.capacity());
        assert_eq!(slab.get(numbers[0]), Some(&0));
        assert_eq!(size_of_val(&slab.chunks[1]), size_of::<usize>(), "what stays of a freed chunk");
    }

    #[test]
    fn an_emptied_table_is_small_and_usable() {
        let mut slab = Slab::new();
        for round in 0..3 {
            let numbers: Vec<u32> = (0..10_000).map(|i| slab.insert(i)).collect();
            for &number in numbers.iter().rev() {
                slab.remove(number);
            }
            assert_eq!(slab.len(), 0, "round {round}");
            assert!(slab.capacity() <= CHUNK);
            assert!(slab.chunks.capacity() <= 4);
        }
    }

    #[test]
    fn arming_and_cancelling_at_a_chunks_edge_does_not_free_and_allocate() {
        let mut slab = Slab::new();
        for i in 0..CHUNK {
            slab.insert(i);
        }
        let first = slab.insert(0);
        slab.remove(first);
        let capacity = slab.capacity();
        for _ in 0..10 {
            let number = slab.insert(0);
            assert_eq!(slab.capacity(), capacity);
            slab.remove(number);
            assert_eq!(slab.capacity(), capacity);
        }
    }

    #[test]
    fn a_freed_chunk_is_used_again_before_a_new_one_is_made() {
        let mut slab = Slab::new();
        let numbers: Vec<u32> = (0..10 * CHUNK).map(|i| slab.insert(i)).collect();
        for &number in &numbers[CHUNK..] {
            slab.remove(number);
        }
        let again: Vec<u32> = (0..9 * CHUNK).map(|i| slab.insert(i)).collect();
        assert_eq!(slab.chunks.len(), 10);
        assert!(again.iter().all(|&number| number < 10 * CHUNK as u32));
    }
}
