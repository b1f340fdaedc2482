# The second 2D grid search of the original: 6 runs, with unet2d_none.py.
parameters = dict(
    base_channels=[32, 48],
    depth=[4],
    learning_rate=[1e-4],
    weight_decay=[1e-5],
    use_inr=[True],
    inr_hidden_dim=[64, 128, 256],
)


def options(base_channels, depth, learning_rate, weight_decay, use_inr, inr_hidden_dim):
    changes = {
        'model.backbone.channels': [base_channels * 2**i for i in range(depth + 1)],
        'model.decode_head.in_channels': base_channels,
        'model.decode_head.projection': base_channels,
        'optim_wrapper.optimizer.lr': learning_rate,
        'optim_wrapper.optimizer.weight_decay': weight_decay,
    }
    if use_inr:
        changes['model.decode_head.type'] = 'ImplicitVolumeHead'
        changes['+model.decode_head.implicit'] = dict(type='CoordinateHead', hidden=inr_hidden_dim)
    return changes


def title(base_channels, depth, learning_rate, weight_decay, use_inr, inr_hidden_dim):
    head = f'INR{inr_hidden_dim}' if use_inr else 'NoINR'
    return f'nnUNet_BC{base_channels}_D{depth}_{head}_LR{learning_rate:.0e}_WD{weight_decay:.0e}'
