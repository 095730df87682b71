#!/usr/bin/env bash
# curl, as one would type it: JSON, events as they arrive, forms with files, errors. Each request is one line of JSON: status, headers, and the body in base64.
set -euo pipefail

url=$LLM_BALANCER_URL
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
# Every byte that there is, for files that have to arrive as they were sent.
for byte in {0..255}; do printf "\\x$(printf %02x "$byte")"; done >"$folder/bytes"

# `ask FEATURE PATH [curl's arguments]`; MARK in an argument is the mark of the request.
ask() {
    local feature=$1 path=$2 mark="mark-$1-"
    shift 2
    curl --silent --show-error --max-time 20 --header "Authorization: Bearer ${key-$LLM_BALANCER_KEY}" --output "$folder/body" \
        --write-out '{"status": %{http_code}, "headers": %{header_json},' "$url$path" "${@//MARK/$mark}" | tr -d '\n'
    printf '"feature": "%s", "mark": "%s", "body": "%s"}\n' "$feature" "$mark" "$(base64 --wrap=0 "$folder/body")"
}

# The same with a body of JSON.
post() {
    ask "$1" "$2" --header 'Content-Type: application/json' --data "$3"
}

json() {
    post chat /v1/chat/completions '{"model": "gpt", "messages": [{"role": "user", "content": "MARK"}]}'
    post chat_without_v1 /chat/completions '{"model": "gpt", "messages": [{"role": "user", "content": "MARK"}]}'
    post completion /v1/completions '{"model": "gpt", "prompt": "MARK"}'
    post embedding /v1/embeddings '{"model": "gpt", "input": "MARK"}'
    post response /v1/responses '{"model": "gpt", "input": "MARK"}'
    post image /v1/images/generations '{"model": "gpt", "prompt": "MARK"}'
    post speech /v1/audio/speech '{"model": "gpt", "voice": "alloy", "input": "MARK"}'
    post model_in_the_path /openai/deployments/gpt/chat/completions '{"messages": [{"role": "user", "content": "MARK"}]}'
    ask compressed /v1/chat/completions --compressed --json '{"model": "gpt", "messages": [{"role": "user", "content": "MARK"}]}'
    ask http2 /v1/chat/completions --http2-prior-knowledge --json '{"model": "gpt", "messages": [{"role": "user", "content": "MARK"}]}'
    ask models /v1/models
    ask models_of_codex '/v1/models?client_version=0.155.1'
}

# Each line with the milliseconds at which it arrived.
stream() {
    local start=${EPOCHREALTIME/[.,]/} line
    curl --silent --show-error --no-buffer --max-time 20 --header "Authorization: Bearer $LLM_BALANCER_KEY" "$url/v1/chat/completions" \
        --json '{"model": "slow", "stream": true, "messages": [{"role": "user", "content": "mark-stream-"}]}' |
        while read -r line; do
            [[ -z $line ]] || printf '{"feature": "stream", "mark": "mark-stream-", "after": %d, "line": "%s"}\n' \
                $(((${EPOCHREALTIME/[.,]/} - start) / 1000)) "${line//\"/\\\"}"
        done
}

forms() {
    ask transcription /v1/audio/transcriptions --form model=gpt --form prompt=MARK --form "file=@$folder/bytes;filename=a.mp3"
    ask translation /v1/audio/translations --form model=gpt --form prompt=MARK --form "file=@$folder/bytes;filename=a.mp3"
    ask image_edit /v1/images/edits --form "image[]=@$folder/bytes;filename=a.png" --form "image[]=@$folder/bytes;filename=b.png" \
        --form prompt=MARK --form model=gpt
}

errors() {
    local chat='"messages": [{"role": "user", "content": "MARK"}]}'
    post unknown_model /v1/chat/completions "{\"model\": \"no-such-model\", $chat"
    key=sk-wrong post wrong_key /v1/chat/completions "{\"model\": \"gpt\", $chat"
    post no_json /v1/chat/completions '{"model": "gpt", MARK'
    post unknown_route /v1/nothing '{"model": "gpt", "input": "MARK"}'
    post provider_not_found /v1/chat/completions "{\"model\": \"missing\", $chat"
    post provider_limited /v1/chat/completions "{\"model\": \"limited\", $chat"
    post served_once_a_minute /v1/chat/completions "{\"model\": \"narrow\", $chat"
    post limit_of_the_balancer /v1/chat/completions "{\"model\": \"narrow\", $chat"
}

"$1"
