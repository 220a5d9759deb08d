//! Where a run is, as its handle says it.

use serde_json::json;

use super::cluster::ClusterRef;

/// Where a run is: what its handle says beside the name of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) reference: ClusterRef,
    pub(super) namespace: String,
}

impl Place {
    /// `namespace/name`, before it `["file","context"]` where a queue named one of them.
    pub(super) fn id(&self, name: &str) -> String {
        let Self {
            reference:
                ClusterRef {
                    config_file,
                    context,
                },
            namespace,
        } = self;
        if config_file.is_none() && context.is_none() {
            return format!("{namespace}/{name}");
        }
        let cluster = json!([config_file, context]);
        format!("{cluster}{namespace}/{name}")
    }

    /// What a handle's id says.
    pub(super) fn of(id: &str) -> Option<Self> {
        let mut cluster = serde_json::Deserializer::from_str(id).into_iter();
        let (reference, rest) = match cluster.next() {
            Some(Ok((config_file, context))) => {
                let reference = ClusterRef {
                    config_file,
                    context,
                };
                (reference, &id[cluster.byte_offset()..])
            }
            _ => (ClusterRef::default(), id),
        };
        let (namespace, _) = rest.split_once('/')?;
        Some(Self {
            reference,
            namespace: namespace.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_say_where_a_run_is() {
        let place = |file: Option<&str>, context: Option<&str>| Place {
            reference: ClusterRef {
                config_file: file.map(str::to_owned),
                context: context.map(str::to_owned),
            },
            namespace: "team".to_owned(),
        };
        let arn = "arn:aws:eks:eu-west-1:123456789012:cluster/x";
        for place in [
            place(None, None),
            place(None, Some("prod")),
            place(Some("conf/kube.yaml"), None),
            place(Some("conf/kube.yaml"), Some("prod")),
            place(None, Some("ann@dev")),
        ] {
            let id = place.id("launch-k3x9-0");
            assert_eq!(Place::of(&id), Some(place), "{id}");
        }
        let place = place(None, Some(arn));
        assert_eq!(Place::of(&place.id("launch-k3x9-0")), Some(place));
        assert_eq!(Place::of("launch-k3x9-0"), None);
    }
}
