//! What every turn of an app can reach besides its session: the pools, and which callbacks are registered.

use std::any::TypeId;
use std::collections::HashMap;

use crate::pools::Pools;
use crate::{Error, Result};

/// The external commands of an app, by name.
#[cfg(unix)]
pub(crate) type Commands = HashMap<&'static str, std::sync::Arc<windlass_jobs::ReadyCommand>>;

/// What every turn of an app can reach besides its session.
pub(crate) struct Services {
    pub(crate) pools: Pools,
    /// The named callbacks, by name.
    pub(crate) callbacks: HashMap<&'static str, TypeId>,
    /// Jobs are written down, so that they can be started again.
    pub(crate) keeps_jobs: bool,
    /// The external commands, by name.
    #[cfg(unix)]
    pub(crate) commands: Commands,
    /// Pages see the text of internal errors.
    pub(crate) development: bool,
    /// The events that a typed app has declared.
    pub(crate) events: Option<Vec<&'static str>>,
}

impl Services {
    /// Whether the callback of that name was registered with that type.
    ///
    /// # Errors
    ///
    /// What to add to the app.
    pub(crate) fn knows(&self, name: &str, callback: TypeId, type_name: &str) -> Result {
        if self.callbacks.get(name) == Some(&callback) {
            return Ok(());
        }
        let text = format!("the callback \"{name}\" is not registered: add `.callback::<{type_name}>()` to the app");
        Err(Error::internal(text))
    }

    /// The external command of that name.
    ///
    /// # Errors
    ///
    /// What to add to the app.
    #[cfg(unix)]
    pub(crate) fn command(&self, name: &str) -> Result<std::sync::Arc<windlass_jobs::ReadyCommand>> {
        self.commands.get(name).cloned().ok_or_else(|| {
            Error::internal(format!(
                "the command \"{name}\" is not registered: add `.command(\"{name}\", …)` to the app"
            ))
        })
    }
}
