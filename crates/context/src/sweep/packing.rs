//! The most that can be freed where floors bind.

use super::greedy::{has_room, take_room};
use super::{Group, Start};

/// Buckets of a zone's room: as long as it has no more tokens than this, packing is exact.
const MAX_BUCKETS: usize = 4096;

/// Group and offer of a choice that frees `rest` tokens, found zone by zone by filling each room as
/// far as it goes; `None` if that is not enough.
///
/// Taken only where choosing by efficiency leaves rooms too badly filled: it asks whether there is
/// a choice, and not for a good one, but what is not needed of it is given back, worst first.
pub(super) fn packed(groups: &[Group], start: &Start, rest: usize) -> Option<Vec<(usize, usize)>> {
    let mut picks = Vec::new();
    for (zone, &room) in start.room.iter().enumerate() {
        picks.extend(fill(groups, zone, room));
    }
    let offer = |&(group, offer): &(usize, usize)| &groups[group].offers[offer];
    let mut room = start.room.clone();
    picks.retain(|pick| {
        let fits = has_room(&room, offer(pick));
        if fits {
            take_room(&mut room, offer(pick));
        }
        fits
    });
    let mut freed: usize = picks.iter().map(|pick| offer(pick).freed).sum();
    if freed < rest {
        return None;
    }
    let ratio = |pick: &(usize, usize)| offer(pick).cost / offer(pick).freed as f64;
    picks.sort_by(|a, b| ratio(b).total_cmp(&ratio(a)).then(a.cmp(b)));
    picks.retain(|pick| {
        let spare = freed - offer(pick).freed >= rest;
        freed -= if spare { offer(pick).freed } else { 0 };
        !spare
    });
    picks.sort_unstable();
    Some(picks)
}

/// The offers of a zone that free the most within its room.
fn fill(groups: &[Group], zone: usize, room: usize) -> Vec<(usize, usize)> {
    let unit = room.div_ceil(MAX_BUCKETS).max(1);
    let inside: Vec<usize> = (0..groups.len())
        .filter(|&at| {
            groups[at]
                .offers
                .iter()
                .any(|offer| offer.zones[0].0 == zone)
        })
        .collect();
    let most = inside.iter().map(|&at| groups[at].most_in(zone));
    if most.sum::<usize>() <= room {
        let last = |&at: &usize| (at, groups[at].offers.len() - 1);
        return inside.iter().map(last).collect();
    }
    let mut freed = vec![0_usize; room / unit + 1];
    let mut taken: Vec<Vec<u8>> = Vec::new();
    for &group in &inside {
        let mut row = vec![0; freed.len()];
        for width in (0..freed.len()).rev() {
            for (at, offer) in groups[group].offers.iter().enumerate() {
                let Some(before) = width.checked_sub(offer.freed_in(zone).div_ceil(unit)) else {
                    continue;
                };
                if offer.zones[0].0 == zone && freed[before] + offer.freed > freed[width] {
                    freed[width] = freed[before] + offer.freed;
                    row[width] = at as u8 + 1;
                }
            }
        }
        taken.push(row);
    }
    let mut width = freed.len() - 1;
    let mut picks = Vec::new();
    for (&group, row) in inside.iter().zip(&taken).rev() {
        if let Some(offer) = (row[width] as usize).checked_sub(1) {
            picks.push((group, offer));
            width -= groups[group].offers[offer].freed_in(zone).div_ceil(unit);
        }
    }
    picks
}
