"""`python -m benchmarks.device`: the same document from this machine, over ssh, and over adb.

payload.py packs the library and a bundle, on_device.py is what runs there, over_ssh.py and over_adb.py carry them,
benchmark_model.py reads the tool that people know, arm64.py makes a Python with LiteRT that needs nothing installed.
"""
