"""Reads and writes a message in the text format as protobuf's own library does.

The file that is named has, as JSON: `descriptor`, a FileDescriptorProto; `message`, the full name; `messages`, each of
them serialised; `texts`. All bytes are base64. The answer is written beside it, as `<file>.out`: a text of each message
in two layouts, and the messages that the texts are.
"""

import base64
import json
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

with open(sys.argv[1], encoding="utf-8") as file:
    asked = json.load(file)
pool = descriptor_pool.DescriptorPool()
pool.Add(descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(asked["descriptor"])))
kind = message_factory.GetMessageClass(pool.FindMessageTypeByName(asked["message"]))

texts = []
for index, serialised in enumerate(asked["messages"]):
    message = kind.FromString(base64.b64decode(serialised))
    layout = {"as_one_line": index % 2 == 0, "as_utf8": index % 3 == 0, "pointy_brackets": index % 5 == 0}
    texts.append(text_format.MessageToString(message, **layout))
messages = [
    base64.b64encode(text_format.Parse(text, kind()).SerializeToString(deterministic=True)).decode()
    for text in asked["texts"]
]
with open(sys.argv[1] + ".out", "w", encoding="utf-8") as file:
    json.dump({"texts": texts, "messages": messages}, file)
