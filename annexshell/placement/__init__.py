"""Where content belongs by what the gateway knows: what `wanted` asks, looked up."""
