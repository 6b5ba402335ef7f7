"""What login, API and pages share: answers, problems, browser policy, proxies; the frame of pages and its language."""
