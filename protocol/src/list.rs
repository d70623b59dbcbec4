//! Lists of a room's state on the wire: whole, and as edits of the list before (SPEC.md, "State").
//!
//! A list's cell is its elements behind one another, each as it travels when it stands by itself.
//! An edit keeps some elements, then puts new ones for old ones, so that one square of a board or
//! one line of a chat costs what changed and not the list.

use crate::state::{LIST_MAX, Reader, Scalar, StateError, put_uint};

/// An edit costs at least this many bytes: equal elements of no more than that between two changes
/// are cheaper sent again.
const EDIT_BYTES: usize = 2;

/// How many elements a queue may lose or gain at its front and still be known as one that moved on.
const SHIFT_MAX: usize = 16;

/// Appends the count and the elements.
pub(crate) fn put_whole(element: Scalar, list: &[u8], out: &mut Vec<u8>) {
    put_uint(out, elements(element, list).len() as u64);
    out.extend_from_slice(list);
}

/// Reads what [`put_whole`] wrote.
pub(crate) fn get_whole(element: Scalar, reader: &mut Reader<'_>) -> Result<Vec<u8>, StateError> {
    let count = reader.uint()?;
    if count > LIST_MAX as u64 {
        return Err(StateError::OutOfBounds);
    }
    get_elements(element, count, reader).map(<[u8]>::to_vec)
}

/// New elements in the place of old ones, by their places in the two lists.
#[derive(Clone, Copy, Debug)]
struct Edit {
    old: (usize, usize),
    new: (usize, usize),
}

/// Appends the edits that make `new` of `old`, which differ.
///
/// Each edit is two integers and elements: `kept << 1 | more`, how many old elements stay before it
/// and whether another edit follows; then `count << 1 | other`, how many new elements come. They
/// replace as many old ones, or what is left of them; with `other` an integer says how many.
pub(crate) fn put_edits(element: Scalar, old: &[u8], new: &[u8], out: &mut Vec<u8>) {
    let (old, new) = (elements(element, old), elements(element, new));
    let edits = edits(&old, &new);
    let mut at = 0;
    for (place, edit) in edits.iter().enumerate() {
        let more = u64::from(place + 1 < edits.len());
        put_uint(out, ((edit.old.0 - at) as u64) << 1 | more);
        at = edit.old.1;
        let (count, dropped) = (edit.new.1 - edit.new.0, edit.old.1 - edit.old.0);
        let other = dropped != count.min(old.len() - edit.old.0);
        put_uint(out, (count as u64) << 1 | u64::from(other));
        if other {
            put_uint(out, dropped as u64);
        }
        new[edit.new.0..edit.new.1].iter().for_each(|bytes| out.extend_from_slice(bytes));
    }
}

/// Reads what [`put_edits`] wrote against the same old list, and returns the new one.
pub(crate) fn get_edits(
    element: Scalar,
    old: &[u8],
    reader: &mut Reader<'_>,
) -> Result<Vec<u8>, StateError> {
    let old = elements(element, old);
    let mut list = Vec::new();
    let (mut at, mut len) = (0, 0);
    loop {
        let head = reader.uint()?;
        let kept = within(head >> 1, old.len() - at)?;
        old[at..at + kept].iter().for_each(|bytes| list.extend_from_slice(bytes));
        at += kept;
        let head_of_new = reader.uint()?;
        let count = within(head_of_new >> 1, LIST_MAX)?;
        let left = old.len() - at;
        at += match head_of_new & 1 {
            0 => count.min(left),
            _ => within(reader.uint()?, left)?,
        };
        list.extend_from_slice(get_elements(element, count as u64, reader)?);
        len += kept + count;
        // Before the next edit: each may bring as many elements as its bytes hold.
        if len > LIST_MAX {
            return Err(StateError::OutOfBounds);
        }
        if head & 1 == 0 {
            break;
        }
    }
    old[at..].iter().for_each(|bytes| list.extend_from_slice(bytes));
    within((len + old.len() - at) as u64, LIST_MAX)?;
    Ok(list)
}

fn within(count: u64, most: usize) -> Result<usize, StateError> {
    usize::try_from(count).ok().filter(|count| *count <= most).ok_or(StateError::OutOfBounds)
}

fn get_elements<'a>(
    element: Scalar,
    count: u64,
    reader: &mut Reader<'a>,
) -> Result<&'a [u8], StateError> {
    let all = reader.bytes;
    for _ in 0..count {
        element.get(None, reader)?;
    }
    Ok(&all[..all.len() - reader.bytes.len()])
}

/// The elements of a sound list.
fn elements(element: Scalar, list: &[u8]) -> Vec<&[u8]> {
    let mut reader = Reader::new(list);
    let mut found = Vec::new();
    while !reader.is_empty() {
        let all = reader.bytes;
        if element.skip(&mut reader).is_err() {
            break;
        }
        found.push(&all[..all.len() - reader.bytes.len()]);
    }
    found
}

/// What lies between the common front and back: a queue that moved on, one edit if its length
/// changed, or one for each run of changes, whichever is shortest.
fn edits(old: &[&[u8]], new: &[&[u8]]) -> Vec<Edit> {
    let front = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let back = old[front..].iter().rev().zip(new[front..].iter().rev());
    let back = back.take_while(|(old, new)| old == new).count();
    let (old_end, new_end) = (old.len() - back, new.len() - back);
    let in_place = if old_end == new_end {
        runs(old, new, front, old_end)
    } else {
        vec![Edit { old: (front, old_end), new: (front, new_end) }]
    };
    match shifted(&old[..old_end], &new[..new_end], front) {
        Some(shifted) if cost(&shifted, new) < cost(&in_place, new) => shifted,
        _ => in_place,
    }
}

fn cost(edits: &[Edit], new: &[&[u8]]) -> usize {
    let elements = edits.iter().flat_map(|edit| &new[edit.new.0..edit.new.1]);
    edits.len() * EDIT_BYTES + elements.map(|bytes| bytes.len()).sum::<usize>()
}

/// One loses elements at its front, or gains some there, and the rest of it begins the other.
fn shifted(old: &[&[u8]], new: &[&[u8]], front: usize) -> Option<Vec<Edit>> {
    let edit = |old, new| Edit { old, new };
    (1..=SHIFT_MAX).find_map(|by| {
        let start = front + by;
        if start < old.len() && new[front..].starts_with(&old[start..]) {
            let rest = front + old.len() - start;
            let lost = edit((front, start), (front, front));
            return Some(vec![lost, edit((old.len(), old.len()), (rest, new.len()))]);
        }
        if start < new.len() && old[front..].starts_with(&new[start..]) {
            let rest = front + new.len() - start;
            let gained = edit((front, front), (front, start));
            return Some(vec![gained, edit((rest, old.len()), (new.len(), new.len()))]);
        }
        None
    })
}

/// Runs of changes between two places, of two lists that are as long there.
fn runs(old: &[&[u8]], new: &[&[u8]], front: usize, end: usize) -> Vec<Edit> {
    let mut edits: Vec<Edit> = Vec::new();
    for place in (front..end).filter(|place| old[*place] != new[*place]) {
        let range = (place, place + 1);
        match edits.last_mut() {
            Some(Edit { old: (_, old_last), new: (_, new_last) })
                if new[*new_last..place].iter().map(|bytes| bytes.len()).sum::<usize>()
                    <= EDIT_BYTES =>
            {
                *old_last = place + 1;
                *new_last = place + 1;
            }
            _ => edits.push(Edit { old: range, new: range }),
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(list: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for text in list {
            put_uint(&mut out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        out
    }

    /// Every list of up to five of three elements becomes every other.
    #[test]
    fn edits_make_the_new_list_of_the_old_one() {
        let lists: Vec<Vec<u8>> = (0..6_u32)
            .flat_map(|len| (0..3_usize.pow(len)).map(move |number| (len, number)))
            .map(|(len, number)| {
                let digit = |place| ["", "b", "long enough"][number / 3_usize.pow(place) % 3];
                bytes(&(0..len).map(digit).collect::<Vec<_>>())
            })
            .collect();
        for old in &lists {
            for new in lists.iter().filter(|new| *new != old) {
                let mut out = Vec::new();
                put_edits(Scalar::Text, old, new, &mut out);
                let mut reader = Reader::new(&out);
                assert_eq!(get_edits(Scalar::Text, old, &mut reader).as_ref(), Ok(new));
                assert!(reader.is_empty());
            }
        }
    }

    #[test]
    fn one_square_of_a_board_and_one_line_of_a_chat_cost_what_changed() {
        let board = [0; 64];
        let mut moved = board;
        (moved[12], moved[28]) = (0x21, 3);
        let mut out = Vec::new();
        put_edits(Scalar::Uint, &board, &moved, &mut out);
        assert_eq!(out, [12 << 1 | 1, 1 << 1, 0x21, 15 << 1, 1 << 1, 3]);
        let mut out = Vec::new();
        put_edits(Scalar::Text, &bytes(&["a", "b"]), &bytes(&["a", "b", "hi"]), &mut out);
        assert_eq!(out, [2 << 1, 1 << 1, 2, b'h', b'i']);
        let mut out = Vec::new();
        let lines = ["a line", "b line", "c line", "d"];
        put_edits(Scalar::Text, &bytes(&lines[..3]), &bytes(&lines[1..]), &mut out);
        assert_eq!(out, [1, 1, 1, 2 << 1, 1 << 1, 1, b'd']);
        let mut out = Vec::new();
        put_edits(Scalar::Text, &bytes(&["a", "b"]), &bytes(&["b"]), &mut out);
        assert_eq!(out, [0, 1, 1]);
    }

    #[test]
    fn edits_beyond_the_old_list_or_the_longest_are_refused() {
        let old = bytes(&["a"]);
        let get = |bytes: &[u8]| get_edits(Scalar::Text, &old, &mut Reader::new(bytes));
        assert_eq!(get(&[2 << 1, 0]), Err(StateError::OutOfBounds));
        assert_eq!(get(&[0, 1, 2]), Err(StateError::OutOfBounds));
        assert_eq!(get(&[0, 1 << 1]), Err(StateError::Truncated));
        // 4096 empty texts and the old one behind them.
        let mut many = vec![0, 0x81, 0x40, 0];
        many.extend([0; 4096]);
        assert_eq!(get(&many), Err(StateError::OutOfBounds));
        many[3] = 1;
        assert_eq!(get(&many).map(|list| list.len()), Ok(4096));
    }
}
