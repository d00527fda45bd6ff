//! Data that is loaded in the background.

/// Data that is loaded in the background.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Loaded<T, E = String> {
    #[default]
    Waiting,
    Ready(T),
    /// The error, with the last good value if there is one.
    Failed(E, Option<T>),
}

impl<T, E> Loaded<T, E> {
    /// The last good value.
    pub const fn get(&self) -> Option<&T> {
        match self {
            Self::Waiting | Self::Failed(_, None) => None,
            Self::Ready(value) | Self::Failed(_, Some(value)) => Some(value),
        }
    }

    /// The error of the last attempt.
    pub const fn error(&self) -> Option<&E> {
        match self {
            Self::Failed(error, _) => Some(error),
            _ => None,
        }
    }

    /// Stores a result. An error keeps the last good value.
    pub fn update(&mut self, result: Result<T, E>) {
        *self = match (result, std::mem::take(self)) {
            (Ok(value), _) => Self::Ready(value),
            (Err(error), Self::Ready(old) | Self::Failed(_, Some(old))) => {
                Self::Failed(error, Some(old))
            }
            (Err(error), _) => Self::Failed(error, None),
        };
    }
}
