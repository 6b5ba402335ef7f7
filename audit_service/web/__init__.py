"""What every face of the service answers with: problems, pages, browser policy, proxies."""
