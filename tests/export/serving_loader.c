/* Loads a SavedModel as TF Serving does and runs one signature on one input.

   serving_loader FOLDER INPUT OUTPUT KIND [HEIGHT WIDTH] < input > output

   KIND is "bytes": standard input is an image file, fed as one string; or "float":
   raw float32 values of one image HEIGHT x WIDTH x 3. INPUT and OUTPUT are names of
   operations. What comes out is written as it is: the bytes of the first string, or
   raw float32 values. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

static void stop_unless_ok(TF_Status* status) {
  if (TF_GetCode(status) != TF_OK) {
    fprintf(stderr, "code %d: %s\n", TF_GetCode(status), TF_Message(status));
    exit(1);
  }
}

static void free_memory(void* data, size_t length, void* argument) { free(data); }

int main(int count, char** words) {
  size_t length = 0, capacity = 1 << 24;
  char* input = malloc(capacity);
  length = fread(input, 1, capacity, stdin);

  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  const char* tags[] = {"serve"};
  TF_Session* session = TF_LoadSessionFromSavedModel(
      options, NULL, words[1], tags, 1, graph, NULL, status);
  stop_unless_ok(status);

  TF_Output source = {TF_GraphOperationByName(graph, words[2]), 0};
  TF_Output target = {TF_GraphOperationByName(graph, words[3]), 0};
  if (!source.oper || !target.oper) {
    fprintf(stderr, "no such operation\n");
    return 1;
  }
  TF_Tensor* fed;
  if (strcmp(words[4], "bytes") == 0) {
    int64_t shape[] = {1};
    TF_TString* text = malloc(sizeof(TF_TString));
    TF_TString_Init(text);
    TF_TString_Copy(text, input, length);
    fed = TF_NewTensor(TF_STRING, shape, 1, text, sizeof(TF_TString), free_memory, 0);
  } else {
    int64_t shape[] = {1, atoi(words[5]), atoi(words[6]), 3};
    fed = TF_NewTensor(TF_FLOAT, shape, 4, input, length, free_memory, 0);
  }
  TF_Tensor* made = NULL;
  TF_SessionRun(session, NULL, &source, &fed, 1, &target, &made, 1, NULL, 0, NULL,
                status);
  stop_unless_ok(status);
  if (TF_TensorType(made) == TF_STRING) {
    TF_TString* text = TF_TensorData(made);
    fwrite(TF_TString_GetDataPointer(text), 1, TF_TString_GetSize(text), stdout);
  } else {
    fwrite(TF_TensorData(made), 1, TF_TensorByteSize(made), stdout);
  }
  return 0;
}
