mod counting;
mod families;
mod speaker;
mod templates;
