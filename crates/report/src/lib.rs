//! Records as Markdown and terminal tables.
