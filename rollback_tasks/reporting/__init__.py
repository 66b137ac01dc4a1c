"""The only room that knows rich: what people and programs read."""
