// Package metrics holds the Prometheus metrics of a node. Packages hub, api and
// redisstore report events through interfaces of their own, which it implements.
package metrics
