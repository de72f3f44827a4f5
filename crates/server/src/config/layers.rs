//! Settings from several places: flags over variables over the file.

use super::settings::ServeSettings;

/// `first` where it says something, else `second`, field by field.
macro_rules! layered {
    ($first:ident, $second:ident, $($field:ident),* $(,)?) => {
        ServeSettings { $($field: $first.$field.or($second.$field)),* }
    };
}

impl ServeSettings {
    /// Lays these settings over weaker ones.
    pub fn over(self, weaker: Self) -> Self {
        layered!(
            self,
            weaker,
            model,
            revision,
            served_model_name,
            embedding_model,
            load_format,
            dtype,
            quantization,
            weights_cache,
            weights_cache_bytes,
            max_model_len,
            enable_lora,
            lora_modules,
            max_loras,
            max_lora_rank,
            allow_runtime_lora_updating,
            host,
            port,
            api_key,
            insecure,
            max_body_bytes,
            max_messages,
            max_n,
            max_logprobs,
            keep_alive_secs,
            no_web_ui,
            shutdown_timeout,
            log_format,
            device,
            gpu_memory_utilization,
            deterministic,
            threads,
            pin_threads,
            max_num_batched_tokens,
            max_num_seqs,
            target_itl_ms,
            max_num_queued_reqs,
            max_num_queued_tokens,
            seed,
            kv_cache_memory_bytes,
            block_size,
            kv_cache_dtype,
            enable_prefix_caching,
            no_enable_prefix_caching,
            async_scheduling,
            no_async_scheduling,
            shared_prefix_cache,
            watermark,
            kv_disk,
            kv_disk_bytes,
            retention_max_share,
            retention_max_share_per_key,
            otlp_traces_endpoint,
            request_records,
            tool_call_parser,
            reasoning_parser,
            context_mode,
            context_profile,
            context_memory,
            context_ledger_bytes,
            context_max_background_share,
            profiles,
            config,
        )
    }
}
