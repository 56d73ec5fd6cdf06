package api

// Easel is who draws codes and who waits to, for tests that take the places.
func (s *Server) Easel() (places, line chan struct{}) { return s.easel.places, s.easel.line }
