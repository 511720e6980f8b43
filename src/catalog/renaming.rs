//! Another name for a stream: its definition, its picture, its points, and the definitions that name it.

use serde_json::Value;

use super::{
    Catalog, Members,
    definitions::{invalid, members},
};
use crate::{
    error::{Code, Error, Result},
    numbers::Sample,
    producer::{Definition, StreamDefinition},
    stream::StreamName,
};

/// A definition that names another stream.
#[derive(Clone, Debug)]
pub struct Referring {
    /// The stream that is defined.
    pub name: StreamName,
    /// Its definition with the other name in it.
    pub definition: StreamDefinition,
    /// Whether sidecar.yml has it, so that it cannot be changed here.
    pub is_fixed: bool,
}

impl Catalog {
    /// Fails if the stream cannot get this name.
    pub async fn check_renaming(&self, from: &StreamName, to: &StreamName) -> Result<StreamDefinition> {
        let registry = self.registry();
        registry.find(from)?;
        self.refuse_if_from_file(from)?;
        if from == to || registry.get(to).is_some() {
            return Err(
                Error::new(Code::PreconditionFailed, format!("to: a stream {to} exists already")).in_field("to")
            );
        }
        let unknown = || Error::new(Code::UnknownStream, format!("no stream {from} is defined"));
        self.definition(from).await?.ok_or_else(unknown)
    }

    /// The definitions of other streams that name this one, with the other name.
    pub async fn referring(&self, from: &StreamName, to: &StreamName) -> Result<Vec<Referring>> {
        let mut found = vec![];
        for stream in self.registry().list() {
            let name = stream.name();
            // A damaged definition names nothing that can be changed.
            let Ok(Some(definition)) = self.definition(name).await else { continue };
            let before = members(&definition)?;
            let mut after = before.clone();
            rename_in(&mut after, from, to);
            if name != from && after != before {
                let definition = serde_json::from_value(Value::Object(after)).map_err(invalid)?;
                found.push(Referring { name: name.clone(), definition, is_fixed: self.0.file.contains_key(name) });
            }
        }
        Ok(found)
    }

    /// Defines the stream under another name, with its picture and its points. The old one stays until [`Catalog::remove`], so that
    /// what refers to it can follow.
    pub async fn copy_as(&self, from: &StreamName, to: &StreamName) -> Result<()> {
        let definition = self.check_renaming(from, to).await?;
        let context = self.context();
        let kind = definition.kind();
        // A definition can refer to the stream's own numbers, in a text on its pictures.
        let mut own = members(&definition)?;
        rename_in(&mut own, from, to);
        let definition = serde_json::from_value(Value::Object(own)).map_err(invalid)?;
        self.define_if(to, &definition, true).await?;
        if kind == Definition::upload().kind()
            && let Some(picture) = context.uploads.load(from, &context.limits).await
        {
            let mut upload = self.upload(to)?;
            upload.publish(&picture)?;
            upload.acknowledge().await?;
        }
        if kind == Definition::graph().kind() {
            let series = context.numbers.present(from, i64::MIN).into_iter();
            let samples = series.flat_map(|latest| {
                let name = latest.name.to_string();
                latest.points.into_iter().map(move |point| Sample {
                    series: name.clone(),
                    at: Some(point.at),
                    value: point.value,
                })
            });
            context.numbers.numbers(to).take(samples, crate::numbers::time::now());
        }
        Ok(())
    }
}

/// Replaces the name of a stream in the members of a definition: the parent of a derived stream, tiles of a mosaic, and numbers in
/// texts on pictures.
fn rename_in(members: &mut Members, from: &str, to: &str) {
    let exchange = |value: &mut Value| {
        if value == from {
            *value = to.into();
        }
    };
    members.get_mut("of").into_iter().for_each(exchange);
    members.get_mut("tiles").and_then(Value::as_array_mut).into_iter().flatten().for_each(exchange);
    if let Some(overlay) = members.get_mut("overlay") {
        rename_in_texts(overlay, &format!("{{value:{from}/"), &format!("{{value:{to}/"));
    }
}

fn rename_in_texts(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text.contains(from) => *text = text.replace(from, to),
        Value::Array(values) => values.iter_mut().for_each(|value| rename_in_texts(value, from, to)),
        Value::Object(members) => members.values_mut().for_each(|value| rename_in_texts(value, from, to)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_replaced_where_it_stands_for_the_stream_and_nowhere_else() {
        let renamed = |value: Value| {
            let Value::Object(mut members) = value else { panic!("an object") };
            rename_in(&mut members, "yard", "garden");
            Value::Object(members)
        };
        assert_eq!(renamed(json!({"kind": "derived", "of": "yard"})), json!({"kind": "derived", "of": "garden"}));
        let before = json!({"kind": "mosaic", "tiles": ["yard", "yard/2", "~^yard"], "title": "yard"});
        let after = json!({"kind": "mosaic", "tiles": ["garden", "yard/2", "~^yard"], "title": "yard"});
        assert_eq!(renamed(before), after);
        let before = json!({"overlay": [{"text": "yard {value:yard/t} {value:yard2/t}", "size": 3}]});
        let after = json!({"overlay": [{"text": "yard {value:garden/t} {value:yard2/t}", "size": 3}]});
        assert_eq!(renamed(before), after);
    }
}
