// Package apitest is for tests: it checks the answers of a hub against the wire
// contract, api/openapi.yaml.
package apitest
