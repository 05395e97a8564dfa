//! Any field of the body, by its path.

use serde_json::{Map, Value};

use super::EventBuilder;

impl<P> EventBuilder<P> {
    /// Sets any field of the body to any JSON value, whether or not the sender ever would. `path` names it from the
    /// outside in, with dots between: `appId`, `data.name`, `data.participants.0.id`, or `data` for all of it. Missing
    /// objects on the way are created.
    ///
    /// ```
    /// use jaas_testkit::event;
    /// use serde_json::json;
    ///
    /// let odd = event::participant_joined().set("data.moderator", "true").set("data.roles", json!(["a", 7]));
    /// assert_eq!(odd.payload().participant.moderator, Some(true));
    /// assert_eq!(odd.json()["data"]["roles"][1], 7);
    /// ```
    ///
    /// # Panics
    /// When a value on the way is neither an object nor a list with that index.
    #[allow(clippy::panic)]
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        let event_type = self.field("eventType");
        match place(&mut self.body, path) {
            Some(place) => *place = value.into(),
            None => panic!("{event_type} has no field `{path}`: set its parent first"),
        }
        self
    }

    /// Removes a field of the body, with a path as in [`set`](Self::set); does nothing when it is absent.
    pub fn without(mut self, path: &str) -> Self {
        let (around, name) = match path.rsplit_once('.') {
            Some((around, name)) => (pointer(around), name),
            None => (String::new(), path),
        };
        match self.body.pointer_mut(&around) {
            Some(Value::Object(fields)) => drop(fields.remove(name)),
            Some(Value::Array(elements)) => {
                if let Some(index) = name.parse().ok().filter(|index| *index < elements.len()) {
                    elements.remove(index);
                }
            }
            _ => {}
        }
        self
    }
}

/// `data.name` as a JSON pointer.
fn pointer(path: &str) -> String {
    path.split('.').map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect()
}

fn place<'a>(body: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('.').try_fold(body, |around, name| match around {
        Value::Object(fields) => Some(fields.entry(name).or_insert_with(|| Value::Object(Map::new()))),
        Value::Array(elements) => elements.get_mut(name.parse::<usize>().ok()?),
        _ => None,
    })
}
