module loginhub/api/token/verify

go 1.21
