"""A login view that sends a signal, and a receiver that writes a line to a text file."""

from datetime import datetime
from typing import Any

from blinker import Namespace
from flask import Flask, current_app, request

app = Flask(__name__)
app.config["LOGIN_LOG"] = "login_log.txt"

signals = Namespace()
login_signal = signals.signal("login")


@login_signal.connect
def write_line(_sender: Any, username: str) -> None:
    with open(current_app.config["LOGIN_LOG"], "a", encoding="utf-8") as file:  # noqa: PTH123
        file.write(f"{username}*{datetime.now()}*{request.remote_addr}\n")  # noqa: DTZ005


@app.route("/login/", methods=["GET", "POST"])
def login() -> str:
    username = request.values.get("username")
    if not username:
        return "请输入用户名"
    if request.method == "POST":
        login_signal.send(app, username=username)
    else:
        login_signal.send(username=username)  # the sender is then None
    return "登录成功"
