"""OpenAI's own Python client, as its documentation uses it, against the balancer at $LLM_BALANCER_URL.

The balancer has the groups `gpt` (paris and virginia), `unauthorized`, `limited`, `failing` and `hanging`, each of which
does what its name says, and asks for the key $LLM_BALANCER_KEY. `tests/clients.rs` starts it all.
"""

import os
import unittest

import openai

URL = os.environ["LLM_BALANCER_URL"]
KEY = os.environ["LLM_BALANCER_KEY"]
HI = [{"role": "user", "content": "hi"}]


def client(base_url=URL, api_key=KEY, **options):
    """A client that makes each request once: trying again is the balancer's work."""
    return openai.OpenAI(base_url=base_url, api_key=api_key, max_retries=0, timeout=20, **options)


class Answers(unittest.TestCase):
    bases = (URL, f"{URL}/v1")

    def each(self):
        for base in self.bases:
            with self.subTest(base=base), client(base) as openai_client:
                yield openai_client

    def test_a_chat_is_answered_through_different_deployments(self):
        for openai_client in self.each():
            seen = set()
            for _ in range(30):
                raw = openai_client.chat.completions.with_raw_response.create(model="gpt", messages=HI)
                served = raw.headers["x-litellm-model-id"]
                chat = raw.parse()
                self.assertEqual(chat.choices[0].message.content, f"hi from {served}")
                self.assertEqual(chat.usage.total_tokens, 12)
                seen.add(served)
            self.assertEqual(seen, {"paris", "virginia"})

    def test_a_stream_arrives_word_by_word(self):
        for openai_client in self.each():
            with openai_client.chat.completions.create(model="gpt", messages=HI, stream=True) as stream:
                words = [chunk.choices[0].delta.content or "" for chunk in stream]
            self.assertIn("".join(words), {f"0 from {x} 1 from {x} 2 from {x} " for x in ("paris", "virginia")})

    def test_completions_embeddings_moderations_and_responses(self):
        for openai_client in self.each():
            self.assertTrue(openai_client.completions.create(model="gpt", prompt="hi").choices[0].text.startswith("hi from"))
            embedding = openai_client.embeddings.create(model="gpt", input="hi", encoding_format="float")
            self.assertEqual(embedding.data[0].embedding, [0.25, -0.5, 1.0])
            self.assertFalse(openai_client.moderations.create(model="gpt", input="hi").results[0].flagged)
            self.assertTrue(openai_client.responses.create(model="gpt", input="hi").output_text.startswith("hi from"))
            with openai_client.responses.create(model="gpt", input="hi", stream=True) as stream:
                self.assertEqual([event.type for event in stream][-1], "response.completed")

    def test_files_go_up_and_sound_comes_down(self):
        for openai_client in self.each():
            audio = openai_client.audio.transcriptions.create(model="gpt", file=("a.mp3", b"\x00\xff" * 5000))
            self.assertTrue(audio.text.startswith("hi from"))
            edited = openai_client.images.edit(model="gpt", image=("cat.png", b"\x89PNG"), prompt="a hat")
            self.assertIn("images.example", edited.data[0].url)
            image = openai_client.images.generate(model="gpt", prompt="a cat")
            self.assertIn("images.example", image.data[0].url)
            speech = openai_client.audio.speech.create(model="gpt", voice="alloy", input="hi")
            self.assertEqual(speech.content[-256:], bytes(range(256)))

    def test_models_are_listed(self):
        for openai_client in self.each():
            self.assertIn("gpt", [model.id for model in openai_client.models.list()])
            self.assertEqual(openai_client.models.retrieve("gpt").id, "gpt")

    def test_azures_client_is_served_too(self):
        azure = openai.AzureOpenAI(azure_endpoint=URL, api_key=KEY, api_version="2024-06-01", max_retries=0)
        chat = azure.chat.completions.create(model="gpt", messages=HI)
        self.assertTrue(chat.choices[0].message.content.startswith("hi from"))


class Fallbacks(unittest.TestCase):
    def test_a_request_may_bring_its_own(self):
        with client() as openai_client:
            extra = {"fallbacks": ["gpt"]}
            raw = openai_client.chat.completions.with_raw_response.create(model="failing", messages=HI, extra_body=extra)
            self.assertEqual(raw.headers["x-litellm-attempted-fallbacks"], "1")
            self.assertEqual(raw.headers["x-litellm-model-group"], "gpt")
            self.assertIn(raw.parse().system_fingerprint, {"paris", "virginia"})

    def test_a_stream_may_too_and_its_usage_arrives_where_it_was_asked_for(self):
        with client() as openai_client:
            with openai_client.chat.completions.create(
                model="failing", messages=HI, stream=True, stream_options={"include_usage": True}, extra_body={"fallbacks": ["gpt"]}
            ) as stream:
                chunks = list(stream)
            self.assertEqual([chunk.usage.total_tokens for chunk in chunks if chunk.usage], [12])


class Errors(unittest.TestCase):
    def chat(self, model, **options):
        with client(**options) as openai_client:
            return openai_client.chat.completions.create(model=model, messages=HI)

    def test_an_unknown_model_is_a_bad_request(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat("nobody-knows")
        self.assertIn("nobody-knows", str(caught.exception))

    def test_an_unknown_model_is_not_found_when_asked_for(self):
        with self.assertRaises(openai.NotFoundError):
            client().models.retrieve("nobody-knows")

    def test_a_wrong_key_is_an_authentication_error(self):
        with self.assertRaises(openai.AuthenticationError) as caught:
            self.chat("gpt", api_key="sk-wrong")
        self.assertEqual(caught.exception.type, "auth_error")

    def test_a_key_that_the_provider_refuses_is_an_authentication_error(self):
        with self.assertRaises(openai.AuthenticationError):
            self.chat("unauthorized")

    def test_a_limit_is_a_rate_limit_error(self):
        with self.assertRaises(openai.RateLimitError) as caught:
            self.chat("limited")
        self.assertEqual(caught.exception.body["message"], "limited says 429")

    def test_a_provider_that_fails_is_an_internal_server_error(self):
        with self.assertRaises(openai.InternalServerError) as caught:
            self.chat("failing")
        self.assertEqual(caught.exception.status_code, 503)

    def test_a_provider_that_hangs_is_a_timeout(self):
        with self.assertRaises(openai.APIStatusError) as caught:
            self.chat("hanging")
        self.assertEqual(caught.exception.status_code, 408)


if __name__ == "__main__":
    unittest.main()
