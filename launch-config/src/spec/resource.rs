//! Where a run is to happen, and the words for it.

/// Where a run is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// A process of the agent's machine.
    LocalProcess,
    /// A container of a Docker Engine.
    LocalContainer,
    /// A Kubernetes object.
    Kubernetes,
    /// A SageMaker training job.
    Sagemaker,
    /// A Vertex AI custom job.
    Vertex,
}

impl Resource {
    /// The words a spec may use, aliases included.
    pub const WORDS: &'static [&'static str] = &[
        "local-process",
        "local-container",
        "local",
        "kubernetes",
        "sagemaker",
        "vertex",
        "gcp-vertex",
    ];

    /// The resource a word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "local-process" => Self::LocalProcess,
            "local-container" | "local" => Self::LocalContainer,
            "kubernetes" => Self::Kubernetes,
            "sagemaker" => Self::Sagemaker,
            "vertex" | "gcp-vertex" => Self::Vertex,
            _ => return None,
        })
    }

    /// Its word in specs and in `resource_args`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LocalProcess => "local-process",
            Self::LocalContainer => "local-container",
            Self::Kubernetes => "kubernetes",
            Self::Sagemaker => "sagemaker",
            Self::Vertex => "vertex",
        }
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_a_resource_and_every_resource_has_its_word() {
        for word in Resource::WORDS {
            let resource = Resource::from_word(word).unwrap();
            assert_eq!(Resource::from_word(resource.as_str()), Some(resource));
        }
        assert_eq!(Resource::from_word("kubernets"), None);
    }
}
