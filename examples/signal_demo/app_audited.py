"""The same app with the audit trail in place of the receiver: one import and one call are changed."""

from flask import Flask, request

from audit_service import LoginAudit, login_signal

app = Flask(__name__)
LoginAudit(app)


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
