//! No paths beyond the target's baseline.

use crate::peaks::Peak;

pub(crate) fn of_this_machine() -> Vec<Peak> {
    Vec::new()
}
