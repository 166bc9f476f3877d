"""Server with TensorFlow Serving's REST and gRPC interfaces, for LiteRT presets.

```python
from tfderain import serving

with serving.Server("menet", serving.Settings(port=0, grpc_port=None)) as server:
    print(server.rest_address)  # http://127.0.0.1:PORT
```

Read in this order: `signatures` (what clients may ask for), `engine` (the queue and
the threads that derain), `service` (a call, by either protocol), `rest` and
`json_tensors`, `page`, `grpc_api` and `protos`, `server` (ports, start and stop).

fastapi, uvicorn, grpcio, protobuf and prometheus-client come with
`pip install "tfderain[serve]"`; they load when a server is made.
"""

from tfderain.serving.page import PAGE
from tfderain.serving.server import Server, Settings, serve

__all__ = ["PAGE", "Server", "Settings", "serve"]
