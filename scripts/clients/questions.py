"""What every client asks the embedded model, and what it answers.

Expected answers are those of Hugging Face transformers, decoded greedily from the same weights.
"""

FACTS = "The budget of project Falcon is 4312 euros. The port of the proxy is 8443."
FALCON_QUESTION = "What is the budget of project Falcon?"
FALCON = [
    {"role": "system", "content": FACTS},
    {"role": "user", "content": FALCON_QUESTION},
]
FALCON_ANSWER = "The budget of project Falcon is 4312 euros."
# Tokens of the rendered conversation, and of the answer with the token that ends it.
FALCON_USAGE = (52, 16)

PARIS_QUESTION = "What is the weather in Paris?"
PARIS = [{"role": "user", "content": PARIS_QUESTION}]
PARIS_ARGUMENTS = {"city": "Paris"}

WEATHER_FUNCTION = {
    "name": "get_weather",
    "description": "Get the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
WEATHER = {"type": "function", "function": WEATHER_FUNCTION}
CLOCK_FUNCTION = {"name": "get_time", "parameters": {"type": "object", "properties": {}}}

# A call, what it returned, and what the model makes of it, its misspelling included.
BERLIN_QUESTION = "What's the weather in Berlin?"
BERLIN_ARGUMENTS = {"city": "Berlin"}
BERLIN_RESULT = '{"temperature": 21, "sky": "clear"}'
BERLIN_ANSWER = "The temperature is 21 and the sky isclear."
