//! openai_node
