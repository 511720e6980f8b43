//! [`Hold`]: the wish of a caller for a camera's path at MediaMTX, which lasts as long as the caller. MediaMTX starts such a caller by
//! `runOnDemand`.

use super::{BridgeStatus, Cameras};
use crate::stream::StreamName;

/// The camera is called, and gives its video to MediaMTX, until this is dropped.
pub struct Hold {
    name: StreamName,
    cameras: Cameras,
}

impl Cameras {
    /// Wants the path of this camera, which need not be one that the sidecar has made. None if there is no such camera.
    pub fn hold(&self, name: &StreamName) -> Option<Hold> {
        self.get(name)?;
        self.bridges().hold(name);
        self.tell_change();
        Some(Hold { name: name.clone(), cameras: self.clone() })
    }
}

impl Hold {
    /// The state of the path. None before the camera is called for the first time.
    pub fn status(&self) -> Option<BridgeStatus> {
        self.cameras.bridge(&self.name)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.cameras.bridges().release(&self.name);
        self.cameras.tell_change();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uv4l::{Camera, Uv4lSettings, cameras::tests::cameras};

    #[test]
    fn a_held_camera_is_bridged_until_its_last_caller_leaves() {
        let mut settings = Uv4lSettings::default();
        let name = |text: &str| StreamName::parse(text).expect("a name");
        settings.cameras.insert(name("door"), Camera { max_sessions: 2, ..Camera::default() });
        let cameras = cameras(&settings);
        assert!(cameras.bridged().is_empty() && cameras.hold(&name("none")).is_none());
        let (first, second) =
            (cameras.hold(&name("door")).expect("known"), cameras.hold(&name("door")).expect("known"));
        drop(first);
        let bridged = cameras.bridged();
        let defined = bridged.get("door").expect("the second caller holds it");
        assert!(defined.on_demand && defined.camera.max_sessions == 2 && second.status().is_none());
        assert!(!cameras.is_bridged("door"), "viewers can still call it");
        drop(second);
        assert!(cameras.bridged().is_empty());
    }
}
