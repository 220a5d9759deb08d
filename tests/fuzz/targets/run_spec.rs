//! Any text, YAML or JSON, is a run spec or a report; a spec that reads as a value reads
//! the same way as text.
#![no_main]

use launch_config::load::{spec_text, spec_value};
use launch_config::spec::Resource;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let read = spec_text("spec", text);
    if let Ok(checked) = &read {
        for word in Resource::WORDS {
            let resource = Resource::from_word(word).expect("a word of the list");
            let _ = checked.value.args_for(resource);
        }
        let _ = (format!("{:?}", checked.value), checked.value.source());
    }
    if let Ok(value) = serde_json::from_str(text) {
        // A JSON mapping is judged as JSON, so both ways agree.
        if text.trim_start().starts_with('{') {
            assert_eq!(read.is_ok(), spec_value("spec", &value).is_ok());
        }
    }
});
