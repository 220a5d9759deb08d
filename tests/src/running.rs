//! A program that a test has started, and that does not outlive it.

use std::ops::{Deref, DerefMut};
use std::process::{Child, Output};

/// A running program, which is killed when this goes: a test that fails leaves none behind.
///
/// It is the [`Child`] it was made of in everything else. One that is to go on is one whose
/// owner keeps this.
#[derive(Debug)]
pub struct Running(Option<Child>);

impl Running {
    /// Waits for its end and collects what it wrote to its pipes.
    ///
    /// # Panics
    /// If they cannot be read.
    pub fn output(mut self) -> Output {
        let child = self.0.take().expect("it is collected once");
        child.wait_with_output().expect("its output can be read")
    }
}

impl From<Child> for Running {
    fn from(child: Child) -> Self {
        Self(Some(child))
    }
}

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        self.0.as_ref().expect("it is there until it is collected")
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        self.0.as_mut().expect("it is there until it is collected")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that was waited for is nobody's process any more; one that is stopped dies, too.
        if let Some(child) = &mut self.0
            && matches!(child.try_wait(), Ok(None))
        {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::{Pid, Signal, test_kill_process};

    use super::*;

    fn sleeps() -> (Running, Pid) {
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        (child.into(), pid)
    }

    #[test]
    fn a_test_that_fails_leaves_no_program_behind() {
        let (running, pid) = sleeps();
        crate::signal(&running, Signal::STOP);
        let failed = std::panic::catch_unwind(move || {
            let _running = running;
            panic!("as an assertion does");
        });
        assert!(failed.is_err());
        assert!(test_kill_process(pid).is_err(), "it still lives");
    }

    #[test]
    fn what_has_ended_is_left_alone() {
        let (mut running, pid) = sleeps();
        assert!(test_kill_process(pid).is_ok());
        running.kill().unwrap();
        running.wait().unwrap();
        drop(running);
    }
}
