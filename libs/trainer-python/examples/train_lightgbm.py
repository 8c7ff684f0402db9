"""LightGBM's defaults on the run's dataset, strings as categories' numbers."""

import lightgbm
import millrace_trainer
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

data = millrace_trainer.load()
prepare = data.prepare(numbers="raw", strings="ordinal")
train, validation = data.train, data.validation


def report(step: lightgbm.callback.CallbackEnv) -> None:
    """Every tenth round."""
    if step.iteration % 10 == 0:
        data.report(step.iteration + 1, validation_loss=step.evaluation_result_list[0][2])


kind = lightgbm.LGBMClassifier if data.task == "BINARY" else lightgbm.LGBMRegressor
model = kind(random_state=data.seed, verbosity=-1).fit(
    prepare(train.features),
    train.label,
    sample_weight=train.weight,
    eval_X=prepare(validation.features),
    eval_y=validation.label,
    callbacks=[lightgbm.early_stopping(20, verbose=False), report],
)
onnx = convert_lightgbm(
    model,
    initial_types=[("matrix", FloatTensorType([None, prepare.width]))],
    target_opset=15,
    zipmap=False,
)
onnx.producer_name, onnx.producer_version = "lightgbm", lightgbm.__version__
data.save(onnx, prepare)
