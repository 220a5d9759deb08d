//! Shows what would be built from a directory, and under which tag.
//!
//! ```console
//! $ cargo run -p launch-builder --example plan -- path/to/project
//! ```

use std::error::Error;

use launch_builder::context;
use launch_builder::event::Events;
use launch_builder::plan::{BuildSpec, plan};
use launch_builder::source::SourceTree;

#[expect(clippy::print_stdout, reason = "an example that shows something")]
fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).unwrap_or_else(|| ".".into());
    let tree = SourceTree::open(directory)?;
    let plan = plan(&tree, &BuildSpec::new())?;
    let options = plan.context_options();
    let hashed = context::hash(&plan.context, &options, &Events::silent())?;
    print!("{plan}");
    println!("files        {} ({} bytes)", hashed.files, hashed.bytes);
    println!("tag          {}", plan.tag(hashed.digest));
    println!("\n{}", plan.dockerfile.text);
    Ok(())
}
