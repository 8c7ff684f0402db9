"""A scikit-learn model on the run's dataset."""

import millrace_trainer
import sklearn
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression, LogisticRegression

data = millrace_trainer.load()
prepare = data.prepare(numbers="standardize", strings="one_hot")
rows = prepare(data.train.features)
model = LogisticRegression(max_iter=1000) if data.task == "BINARY" else LinearRegression()
model.fit(rows, data.train.label, sample_weight=data.train.weight)
options = {"zipmap": False} if data.task == "BINARY" else {}
onnx = to_onnx(model, rows[:1], options={id(model): options}, target_opset=21)
onnx.producer_name, onnx.producer_version = "scikit-learn", sklearn.__version__
validation = data.validation
data.save(onnx, prepare, metrics={"validation_score": model.score(prepare(validation.features), validation.label)})
