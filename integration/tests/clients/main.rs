//! Real clients, as their documentation uses them, in their own language: `integration/clients` has
//! one script for each. What a script saw is compared here with what the provider received.

mod anthropic;
mod curl;
mod langchain;
mod litellm;
mod openai_node;
mod openai_python;
mod session;
mod vercel;
