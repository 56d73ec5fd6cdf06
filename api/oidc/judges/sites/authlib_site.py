"""A site with Authlib and Flask."""
import os

from authlib.integrations.flask_client import OAuth
from flask import Flask, jsonify, redirect

port = int(os.environ["PORT"])
base = f"http://127.0.0.1:{port}"
app = Flask(__name__)
app.secret_key = "a-secret-of-the-site-alone"
oauth = OAuth(app)
oauth.register(
    "hub", client_id="site", client_secret=os.environ["SECRET"],
    server_metadata_url=os.environ["ISSUER"] + "/.well-known/openid-configuration",
    client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256"},
)


@app.get("/")
def home():
    return jsonify(home=True)


@app.get("/login")
def login():
    return oauth.hub.authorize_redirect(base + "/callback")


@app.get("/callback")
def callback():
    tokens = oauth.hub.authorize_access_token()
    return jsonify(oauth.hub.userinfo(token=tokens) | {"sub": tokens["userinfo"]["sub"]})


@app.errorhandler(Exception)
def failed(err):
    return jsonify(error=repr(err)), 400


app.run("127.0.0.1", port)
