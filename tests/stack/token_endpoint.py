"""An OAuth2 token endpoint on the loopback address that gives unsigned tokens to one client, for scripts that need one."""

import base64
import http.server
import json
import threading
import time
import urllib.parse

TOKEN_SECONDS = 300


def unsigned(claims):
    """A JSON Web Token that nobody signed."""
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    return f"{part({'alg': 'none'})}.{part(claims)}."


def start(client_id, client_secret):
    """Serves `/token` until the process ends; its address."""
    basic = "Basic " + base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()

    class Endpoint(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            by_form = (form.get("client_id"), form.get("client_secret")) == (client_id, client_secret)
            if self.headers["Authorization"] != basic and not by_form:
                return self.answer(401, {"error": "invalid_client"})
            now = int(time.time())
            claims = {"sub": client_id, "iat": now, "exp": now + TOKEN_SECONDS, "scope": form.get("scope", "")}
            self.answer(200, {"access_token": unsigned(claims), "token_type": "Bearer", "expires_in": TOKEN_SECONDS})

        def answer(self, status, value):
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/token"
