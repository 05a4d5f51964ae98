"""What `scoring.redact` stands on: numbers and e-mail addresses as people say and recognisers print them."""
