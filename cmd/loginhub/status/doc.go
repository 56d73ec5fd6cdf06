// Package status collects what an operator sees on the admin page: the nodes, with the
// figures that each writes into Redis, and this node's last refused calls.
package status
