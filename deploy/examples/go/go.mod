module loginhub/deploy/examples/go

go 1.24

require loginhub/api/token/verify v0.0.0

replace loginhub/api/token/verify => ../../../api/token/verify
