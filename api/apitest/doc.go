// Package apitest is for tests: it checks the answers of a hub against the wire
// contract, api/openapi.yaml. Its own tests are those of the HTTP endpoints: one node, reached
// over HTTP and WebSocket, with every answer checked.
package apitest
