"""The real application with one more route, /noop, that reads the body and stores nothing: for benchmarks."""

import falcon

from api.settings import read_settings
from api.wsgi import make_application


class NoOp:
    """What the server, the framework and our middleware cost alone."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Read and answer."""
        req.bounded_stream.read()
        resp.status = 201
        resp.content_type = "application/json"
        resp.data = b'{"status":"ok"}'

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer."""
        resp.content_type = "application/json"
        resp.data = b'{"status":"ok"}'


application = make_application(read_settings())
application.add_route("/noop", NoOp())
