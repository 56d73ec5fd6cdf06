// Package apitest is for tests: it holds answers of a hub to the wire contract,
// api/openapi.yaml.
package apitest
