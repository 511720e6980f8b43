//! A producer for tests.

use super::{Mode, Producer, ProducerFuture, Run};

/// A producer that does nothing: the test pushes the pictures.
pub struct Idle(pub Mode);

impl Producer for Idle {
    fn kind(&self) -> &'static str {
        "upload"
    }

    fn mode(&self) -> Mode {
        self.0
    }

    fn run(&self, run: Run) -> ProducerFuture {
        Box::pin(async move {
            run.stop.cancelled().await;
            Ok(())
        })
    }
}
