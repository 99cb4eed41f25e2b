"""HTTP of the endpoint: requests to calls, results and problems to responses; decides nothing itself."""
