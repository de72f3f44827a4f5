//! Waiting for what constraints have worked out while the model computed.

use std::collections::BTreeMap;

use scheduler::RequestId;

use crate::active::ActiveRequest;
use crate::constraint::{ConstraintThreads, Following};

/// Waits until it is known what each of `rows` may go on with.
pub(super) fn wait(
    constraints: &ConstraintThreads,
    requests: &mut BTreeMap<RequestId, ActiveRequest>,
    rows: &[RequestId],
) {
    for row in rows {
        let following =
            |request: &ActiveRequest| request.following.as_ref().map(Following::is_pending);
        while requests.get(row).and_then(following) == Some(true) {
            let (id, allowed) = constraints.next();
            // The request may have ended since.
            if let Some(following) = requests.get_mut(&id).and_then(|r| r.following.as_mut()) {
                following.set(allowed);
            }
        }
    }
}
