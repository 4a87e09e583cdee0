"""What a computation runs on: devices, hosts, precision, draws, optimizer. It knows no network and no data set."""
