"""What the login views and the API share: answers, problems, browser policy, proxies."""
