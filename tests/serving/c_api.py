"""Loads and runs a SavedModel through TensorFlow's C API, as a server in C++ does; without TensorFlow's Python.

    python c_api.py libtensorflow_cc.so.2 MODEL

Writes the model's MetaGraphDef to its output, reads requests from its input, writes the answers, all in pickle. A
request is ({name of a tensor: array}, name of the tensor to compute); an answer is an array, a list of bytes for
strings, or (code, message) of an error.
"""

import ctypes
import pickle
import sys
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_void_p

import numpy as np

# TF_DataType of tf_datatype.h.
DTYPES = {1: np.dtype(np.float32), 4: np.dtype(np.uint8), 9: np.dtype(np.int64)}
STRING = 7
# Bytes of a TF_TString.
STRING_SIZE = 24


class Output(ctypes.Structure):
    _fields_ = [("operation", c_void_p), ("index", c_int)]


class Buffer(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("length", c_size_t), ("deallocator", c_void_p)]


# What a function returns, and what it takes.
SIGNATURES = {
    "TF_NewStatus": (c_void_p,),
    "TF_DeleteStatus": (None, c_void_p),
    "TF_GetCode": (c_int, c_void_p),
    "TF_Message": (c_char_p, c_void_p),
    "TF_NewBuffer": (POINTER(Buffer),),
    "TF_DeleteBuffer": (None, POINTER(Buffer)),
    "TF_NewGraph": (c_void_p,),
    "TF_DeleteGraph": (None, c_void_p),
    "TF_GraphOperationByName": (c_void_p, c_void_p, c_char_p),
    "TF_NewSessionOptions": (c_void_p,),
    "TF_DeleteSessionOptions": (None, c_void_p),
    "TF_LoadSessionFromSavedModel": (
        *(c_void_p, c_void_p, c_void_p, c_char_p),
        *(POINTER(c_char_p), c_int, c_void_p, POINTER(Buffer), c_void_p),
    ),
    "TF_SessionRun": (
        *(None, c_void_p, c_void_p),
        *(POINTER(Output), POINTER(c_void_p), c_int),
        *(POINTER(Output), POINTER(c_void_p), c_int),
        *(c_void_p, c_int, c_void_p, c_void_p),
    ),
    "TF_CloseSession": (None, c_void_p, c_void_p),
    "TF_DeleteSession": (None, c_void_p, c_void_p),
    "TF_AllocateTensor": (c_void_p, c_int, POINTER(c_int64), c_int, c_size_t),
    "TF_DeleteTensor": (None, c_void_p),
    "TF_TensorType": (c_int, c_void_p),
    "TF_NumDims": (c_int, c_void_p),
    "TF_Dim": (c_int64, c_void_p, c_int),
    "TF_TensorByteSize": (c_size_t, c_void_p),
    "TF_TensorData": (c_void_p, c_void_p),
    "TF_StringGetDataPointer": (c_void_p, c_void_p),
    "TF_StringGetSize": (c_size_t, c_void_p),
}


class StatusError(Exception):
    """What a TF_Status says: (code, message)."""


class Model:
    """A session with a SavedModel.

    Args:
        library: Path of libtensorflow_cc.
        folder: That of the model.

    Attributes:
        meta_graph: The serialised MetaGraphDef.
    """

    def __init__(self, library, folder):
        self.c = ctypes.CDLL(library)
        for name, (result, *arguments) in SIGNATURES.items():
            function = getattr(self.c, name)
            function.restype, function.argtypes = result, arguments
        self.status = self.c.TF_NewStatus()
        self.graph = self.c.TF_NewGraph()
        options, buffer = self.c.TF_NewSessionOptions(), self.c.TF_NewBuffer()
        tags = (c_char_p * 1)(b"serve")
        self.session = self.c.TF_LoadSessionFromSavedModel(
            options, None, folder.encode(), tags, 1, self.graph, buffer, self.status
        )
        self.check()
        self.meta_graph = ctypes.string_at(buffer.contents.data, buffer.contents.length)
        self.c.TF_DeleteBuffer(buffer)
        self.c.TF_DeleteSessionOptions(options)

    def check(self):
        code = self.c.TF_GetCode(self.status)
        if code:
            raise StatusError(code, self.c.TF_Message(self.status).decode())

    def run(self, feeds, fetch):
        """Answers a request."""
        values = [self.tensor(array) for array in feeds.values()]
        result = (c_void_p * 1)()
        self.c.TF_SessionRun(
            *(self.session, None, self.outputs(feeds), (c_void_p * len(values))(*values), len(values)),
            *(self.outputs([fetch]), result, 1, None, 0, None, self.status),
        )
        for value in values:
            self.c.TF_DeleteTensor(value)
        self.check()
        array = self.array(result[0])
        self.c.TF_DeleteTensor(result[0])
        return array

    def outputs(self, names):
        """TF_Output of tensors named "operation:index"."""
        split = [name.split(":") for name in names]
        found = [(self.c.TF_GraphOperationByName(self.graph, name.encode()), int(index)) for name, index in split]
        return (Output * len(found))(*found)

    def tensor(self, array):
        (dtype,) = (number for number, dtype in DTYPES.items() if dtype == array.dtype)
        shape = (c_int64 * array.ndim)(*array.shape)
        tensor = self.c.TF_AllocateTensor(dtype, shape, array.ndim, array.nbytes)
        ctypes.memmove(self.c.TF_TensorData(tensor), np.ascontiguousarray(array).ctypes.data, array.nbytes)
        return tensor

    def array(self, tensor):
        dtype, data = self.c.TF_TensorType(tensor), self.c.TF_TensorData(tensor)
        shape = [self.c.TF_Dim(tensor, axis) for axis in range(self.c.TF_NumDims(tensor))]
        if dtype == STRING:
            addresses = range(data, data + shape[0] * STRING_SIZE, STRING_SIZE)
            read = self.c.TF_StringGetDataPointer, self.c.TF_StringGetSize
            return [ctypes.string_at(*(function(address) for function in read)) for address in addresses]
        content = ctypes.string_at(data, self.c.TF_TensorByteSize(tensor))
        return np.frombuffer(content, DTYPES[dtype]).reshape(shape)

    def close(self):
        for function in (self.c.TF_CloseSession, self.c.TF_DeleteSession):
            function(self.session, self.status)
            self.check()
        self.c.TF_DeleteGraph(self.graph)
        self.c.TF_DeleteStatus(self.status)


def main(library, folder):
    """Serves one conversation."""
    model = Model(library, folder)
    pickle.dump(model.meta_graph, sys.stdout.buffer)
    sys.stdout.flush()
    answers = []
    for feeds, fetch in pickle.load(sys.stdin.buffer):
        try:
            answers.append(model.run(feeds, fetch))
        except StatusError as error:
            answers.append(error.args)
    model.close()
    pickle.dump(answers, sys.stdout.buffer)


if __name__ == "__main__":
    main(*sys.argv[1:])
